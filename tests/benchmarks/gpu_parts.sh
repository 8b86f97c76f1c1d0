# Sourced by the sittings on GPUs, with $out set: what their parts share. A part that takes too long is
# stopped, and none begins when little of LIMIT (seconds) is left.
work=${WORK:-/tmp/work}
python=${PYTHON:-python3}
here=tests/benchmarks
mkdir -p "$out" "$work"
export OBV_DATA=$work/data HF_HUB_OFFLINE=1 PYTHONUNBUFFERED=1 PYTORCH_ALLOC_CONF=expandable_segments:True
export FLASH_ATTENTION_CUTE_DSL_CACHE_ENABLED=1 TOKENIZERS_PARALLELISM=false PYTHONPATH=$PWD:${PYTHONPATH:-}
began=$SECONDS
limit=${LIMIT:-540}
part() {  # part NAME SECONDS COMMAND…
  local name=$1 code left=$((limit - SECONDS + began)) most=$2; shift 2
  if [ $left -lt 25 ]; then echo "== $name left out: $left s left"; return; fi
  echo "== $name at $((SECONDS - began)) s"
  timeout -k 5 $((most < left ? most : left)) "$@" > "$out/$name.log" 2>&1; code=$?
  grep -v "it/s\|examples/s\|UserWarning\|warnings.warn" "$out/$name.log" | tail -n 12 | cut -c1-1500
  echo "== $name ended with $code at $((SECONDS - began)) s"
}
