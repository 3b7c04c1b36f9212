"""Training one run: the only code that trains. Begin with `step.py`; docs/design.md tells the way of a batch.

| file | subject |
|---|---|
| config, validate, bounds, duration | every key of a run, the limits of its values, how a duration is written |
| setup, model, learning, check_task | from a config to a Setup: data, network, task, devices; mistakes are found here |
| splits, normalise | the images of the splits; mean and std of those that are trained on |
| feed, parallel | batches on the devices, functions mapped over them |
| state, drawing | everything that a step reads and writes; how it is drawn from the run's key |
| optimizer, schedule | the update rule |
| step | one pure train step, one evaluation step, the chunk of steps that is compiled |
| train, loop, compilation | one run; the loop over chunks of steps, evaluations and checkpoints |
| host, divergence, selection | the host's side of a run: log rows, plateau, patience; the best checkpoint |
| evaluate, before | masked sums over exactly the N images of a split; answers recorded before the first step |
| samples | images that a generator draws, of fixed codes while it trains |
| rundir/ | the files of a run directory: config, checkpoints, the network at one, log, code |
| finetune/ | beginning from another network: what is loaded, frozen, slowed |
| processes/ | several processes, signals |
| preflight/ | before a long run: the teacher's checks, learning rates, shapes and memory, a profile |
"""
