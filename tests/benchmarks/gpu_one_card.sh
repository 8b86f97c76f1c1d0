#!/usr/bin/env bash
# One sitting on one GPU, in order of worth: kernels' gradients, the packed pass against the model's
# own, `obv train` from mp4 files, the original's stack beside it. Each part writes its results as it
# goes; a part that takes too long is stopped.
#   bash tests/benchmarks/gpu_one_card.sh OUT [flags of a rehearsal on the CPU]
set -u
out=$1; shift
work=${WORK:-/tmp/work}
python=${PYTHON:-python3}
here=tests/benchmarks
mkdir -p "$out" "$work"
export OBV_DATA=$work/data HF_HUB_OFFLINE=1 PYTHONUNBUFFERED=1 PYTORCH_ALLOC_CONF=expandable_segments:True
export FLASH_ATTENTION_CUTE_DSL_CACHE_ENABLED=1 TOKENIZERS_PARALLELISM=false PYTHONPATH=$PWD:${PYTHONPATH:-}
began=$SECONDS
part() {  # part NAME SECONDS COMMAND…
  local name=$1 limit=$2 code; shift 2
  echo "== $name at $((SECONDS - began)) s"
  timeout -k 5 "$limit" "$@" > "$out/$name.log" 2>&1; code=$?
  grep -v "it/s\|examples/s\|UserWarning\|warnings.warn" "$out/$name.log" | tail -n 12 | cut -c1-900
  echo "== $name ended with $code at $((SECONDS - began)) s"
}
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
left=$((${LIMIT:-530} - SECONDS + began))
part original $((left > 30 ? left : 30)) "$python" $here/gpu_steps.py --out "$out/original.json" --ways original \
  --warm 10 --steps 30
left=$((${LIMIT:-530} - SECONDS + began))
[ $left -gt 60 ] && part whole_card $left "$python" $here/gpu_obv_train.py --work "$work" --rows short \
  --out "$out/whole_card.json" --warm 5 --steps 15
echo "all ended at $((SECONDS - began)) s"
