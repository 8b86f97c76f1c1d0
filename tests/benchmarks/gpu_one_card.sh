#!/usr/bin/env bash
# One sitting on one GPU, in order of worth: kernels' gradients, the packed pass against the model's
# own, `obv train` from mp4 files, the original's stack beside it. Each part writes its results as it
# goes; a part that takes too long is stopped.
#   bash tests/benchmarks/gpu_one_card.sh OUT [flags of a rehearsal on the CPU]
set -u
out=$1; shift
. tests/benchmarks/gpu_parts.sh
if [ "${1:-}" = rehearse ]; then
  small="frames.max_visual_tokens=48 frames.max_frames=32 frames.min_pixels=784 num_workers=0 max_memory_gb=1"
  part make 200 "$python" $here/gpu_obv_train.py --work "$work" --make tiny clips --sources 1 --clips 2 --height 144
  part parity 100 "$python" $here/gpu_steps.py --out "$out/parity.json" --ways parity:loop --rows x --tiny
  part obv_train 200 "$python" $here/gpu_obv_train.py --work "$work" --model tiny --rows short long \
    --out "$out/obv_train.json" --warm 1 --steps 2 --changes $small
  exit
fi
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv
part clips 150 "$python" $here/gpu_obv_train.py --work "$work" --make clips &
part attention 100 "$python" $here/gpu_attention.py --out "$out/attention.json" \
  --kernels varlen cudnn flash4 "flash4 own" "flash4 padded"
part parity 100 "$python" $here/gpu_steps.py --out "$out/parity.json" --ways parity:flash4 parity:varlen --rows x
part model 60 "$python" $here/gpu_obv_train.py --work "$work" --make 2b
wait
part obv_train 210 "$python" $here/gpu_obv_train.py --work "$work" --rows short long --profile \
  --out "$out/obv_train.json" --changes max_memory_gb=79
part original 540 "$python" $here/gpu_steps.py --out "$out/original.json" --ways original \
  --warm 10 --steps 30
part whole_card 540 "$python" $here/gpu_obv_train.py --work "$work" --rows short \
  --out "$out/whole_card.json" --warm 5 --steps 15
echo "all ended at $((SECONDS - began)) s"
