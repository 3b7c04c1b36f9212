"""Which steps a profile holds, on a clock of chunks: the profiler itself is JAX's."""

import jax
import pytest

from jaxcnn.training.preflight.trace import WARM, Trace


@pytest.mark.parametrize("chunk", [1, 4, 20])
@pytest.mark.parametrize("steps", [1, 10, 15, 16, 30])
def test_it_holds_so_many_steps_and_at_most_a_chunk_more(steps, chunk, monkeypatch, tmp_path):
    now, begun, ended = 0, [], []
    monkeypatch.setattr(jax.profiler, "start_trace", lambda folder: begun.append(now))
    monkeypatch.setattr(jax.profiler, "stop_trace", lambda: ended.append(now))
    trace = Trace(tmp_path, steps)
    said = []
    for done in range(chunk, 201, chunk):
        now = done
        if trace.advance(done - chunk, done, 0):
            said.append(done)
    (first,), (last,) = begun, ended
    assert said == [last] and WARM <= first < WARM + chunk
    assert steps <= last - first < steps + chunk
