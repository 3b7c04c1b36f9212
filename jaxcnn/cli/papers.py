"""The verb of published results at their own scale: reproduce."""

import argparse
import itertools
import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from jaxcnn.cli.terminal import table
from jaxcnn.errors import InputError
from jaxcnn.files import local_path

if TYPE_CHECKING:
    from jaxcnn.sweeps.papers import Paper


def add(verb: Callable) -> None:
    """Adds this verb; verb(function, name, help) gives its parser."""
    parser = verb(_reproduce, "reproduce", "list published results beside ours, and train them")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these results; default: all")
    parser.add_argument(
        "--run", nargs="*", default=None, metavar="NAME", help="train these results; without names, all missing"
    )
    parser.add_argument(
        "--workdir", default="runs/papers", help="a folder for each study goes there; default: runs/papers"
    )
    parser.add_argument("--jobs", type=int, default=0, metavar="N", help="runs at a time, as of sweep")
    words = "where to write the table, as Markdown; default: experiments/results/papers.md with --run, else nowhere"
    parser.add_argument("--output", default=None, metavar="FILE.md", help=words)


def _reproduce(arguments: argparse.Namespace) -> int:
    """Lists published results that a few cores can pay for at their own scale, with ours, the verdict (met, missed by
    how much, or missing) and what it costs:

      python -m jaxcnn reproduce
      python -m jaxcnn reproduce lenet5 maxout
      TFDS_DATA_DIR=DIR python -m jaxcnn reproduce --run lenet5 maxout --jobs 2
      python -m jaxcnn reproduce --output experiments/results/papers.md

    Ours is read from the runs in --workdir, or from the records of experiments/results where those have more runs.
    --run trains, as `sweep` does in WORKDIR/STUDY: the whole study of a result, which others may share. Results that
    are named are trained there even if a record has them; without names it trains what has neither runs nor a record.
    The same command resumes.
    """
    from jaxcnn.sweeps import reproduction

    papers = reproduction.papers_of(arguments.names + (arguments.run or []))
    workdir = local_path(arguments.workdir)
    output = arguments.output and pathlib.Path(arguments.output)
    code = 0
    if arguments.run is not None:
        output = output or reproduction.RECORDS / "papers.md"
        code = _train(reproduction.papers_of(arguments.run) if arguments.run else papers, workdir, arguments)
    listed = reproduction.papers_of([]) if output else papers  # the page has all of them
    found = {paper.name: reproduction.find(paper, workdir) for paper in listed}
    table(reproduction.HEADER, [reproduction.row(paper, found[paper.name]) for paper in papers], names_first=True)
    if output:
        reproduction.write_page([(paper, found[paper.name]) for paper in listed], output)
        print(output)
    return code


def _train(papers: list["Paper"], workdir: pathlib.Path, arguments: argparse.Namespace) -> int:
    """Trains what is missing of each result, a study once for all of them; the exit code, that of a signal at once."""
    from jaxcnn.sweeps.reproduction import find, trained

    there = trained if arguments.run else find
    missing = [paper for paper in papers if there(paper, workdir).n < max(paper.seeds, 1)]
    for paper in (paper for paper in missing if paper.script):
        told = f"{paper.name} is met by a script of its own: python experiments/{paper.runs}.py {paper.script}"
        if paper.name in arguments.run:
            raise InputError(told)
        print(f"jaxcnn: left out: {told}")
    todo = sorted((paper for paper in missing if not paper.script), key=lambda paper: (paper.study, -paper.seeds))
    code = 0
    for _, group in itertools.groupby(todo, key=lambda paper: paper.study):
        code = max(code, _sweep(next(group), workdir, arguments))
        if code > 1:  # told to end
            break
    return code


def _sweep(paper: "Paper", workdir: pathlib.Path, arguments: argparse.Namespace) -> int:
    """The exit code of `sweep` of the study that meets a result, with as many seeds as that takes."""
    from jaxcnn.cli import studies
    from jaxcnn.shipped import shipped
    from jaxcnn.sweeps.reproduction import study_of_paper
    from jaxcnn.sweeps.study import load_module

    scale = ["--scale", paper.scale] if paper.scale else []
    file = str(shipped("experiments", paper.study))
    given = [file, "--workdir", str(workdir / paper.runs), "--jobs", str(arguments.jobs), *scale]
    options = studies.add_options(argparse.ArgumentParser()).parse_args(given)
    study, _ = study_of_paper(paper)
    return studies.run(load_module(file), study, options)
