"""Training one run: the only code that trains. Begin with `step.py`, then read in the order of a run.

config.py, validate.py, bounds.py   every key of a run, and the limits of its values
setup.py, model.py                  from a config to a Setup: data, network, loss, devices; every mistake is found here
normalise.py                        mean and std of the training images
feed.py, parallel.py                batches on the devices, functions mapped over them
state.py, optimizer.py, schedule.py everything that a step reads and writes, and the update rule
step.py                             one pure train step, one evaluation step, the chunk of steps that is compiled
train.py, loop.py, compilation.py  one run; the loop over chunks of steps, evaluations and checkpoints
host.py, selection.py, divergence.py the host's side of a run: log rows, plateau, patience, the best checkpoint
evaluate.py                         masked sums over exactly the N images of a split
rundir/                             the files of a run directory: config, checkpoints, log, code
finetune/                           beginning from another network: what is loaded, frozen, slowed
processes/                          several processes, signals
check.py, dry_run.py, trace.py      before a long run: the teacher's checks, shapes and memory, a profile
"""
