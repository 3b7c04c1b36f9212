"""Does an ensemble of five networks beat its members?

Claim: Krizhevsky et al. 2012, table 1: the average of five networks lowers the top-5 error of one from 18.2 to 16.4 %.
Protocol: 25 networks that differ in their seed; five disjoint ensembles of five, whose softmax outputs are averaged;
    each ensemble against the mean of its own members on the same test images, n = 5 pairs.
Refuted if: the ensembles' mean test error is not below that of their members.
Cost: 25 runs of about 10 seconds on 2 CPU cores at the scale digits; --runner population trains them together.
"""

from jaxcnn.evaluation.error_table import write_csv
from jaxcnn.evaluation.protocols import evaluate_protocols
from jaxcnn.sweeps import Study, scale_config
from jaxcnn.sweeps.statistics import paired_comparison

SIZE = 5


def study(scale="digits"):
    """One recipe, 25 seeds."""
    return Study(base=scale_config(scale), factors={}, seeds=tuple(range(5 * SIZE)))


def analyse(study, workdir):
    """The error of every ensemble and the mean of its members'; yields the lines of the answer."""
    runs, members, ensembles, rows = study.runs(), {}, {}, []
    for first in range(0, len(runs), SIZE):
        group = [workdir / run.id for run in runs[first : first + SIZE]]
        found = evaluate_protocols(group, "test").rows
        errors = {row.members: row.top1_error for row in found}
        members[first], ensembles[first] = errors[f"1 of {SIZE}"], errors[f"all {SIZE}"]
        rows += found
        yield f"seeds {first} to {first + SIZE - 1}: members {members[first]:.2%}, ensemble {ensembles[first]:.2%}"
    write_csv(workdir / "ensembles.csv", rows)
    found = paired_comparison(members, ensembles)
    interval = " to ".join(f"{100 * edge:.2f}" for edge in found.interval) if found.interval else "none"
    yield (
        f"top-1 error of the members minus that of their ensemble: {100 * found.difference:.2f} points "
        f"(95 % interval {interval}, n = {found.n} ensembles, p {found.p:.2g})"
    )
