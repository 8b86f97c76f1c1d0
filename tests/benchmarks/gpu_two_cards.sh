#!/usr/bin/env bash
# One sitting on two GPUs, in order of worth: `obv train` of the 2B model on one card and on two, the
# 7B model with LoRA and with a frozen vision tower on one card, whole on two; then a run of two
# processes whose second one is killed, and which goes on. Each part writes its results as it goes.
#   bash tests/benchmarks/gpu_two_cards.sh OUT
set -u
out=$1
. tests/benchmarks/gpu_parts.sh
fsdp2="--use_fsdp --fsdp_version 2 --fsdp_auto_wrap_policy TRANSFORMER_BASED_WRAP --fsdp_reshard_after_forward true
 --fsdp_transformer_layer_cls_to_wrap Qwen2VLDecoderLayer,Qwen2VLVisionBlock --fsdp_cpu_ram_efficient_loading false"
launch="$python -m accelerate.commands.launch --num_processes 2 --num_machines 1 --mixed_precision no --dynamo_backend no"
bench() {  # bench NAME SECONDS FLAGS…
  local name=$1 most=$2; shift 2
  part "$name" "$most" $LAUNCH $here/gpu_obv_train.py --work "$work" --out "$out/$name.json" "$@"
}
kill_one() {  # a run of two processes: a clip is damaged, then one process killed; then it goes on
  local config=$work/long-tiny.yaml clip=$work/videos/c60_7.mp4 log=$out/killed.txt run begun code
  run="$launch $fsdp2 -m obvlib.cli train $config num_epochs=2 rows_per_step=1 log_steps=1 save_steps=5"
  cp "$clip" "$work/clip.mp4"
  $run > "$log" 2>&1 & local launcher=$!
  until grep -q "^step 3/" "$log" || ! kill -0 $launcher; do sleep 0.2; done
  echo damaged > "$clip"
  until grep -q "^step 44/" "$log" || ! kill -0 $launcher; do sleep 0.2; done
  begun=$SECONDS
  kill -9 "$(pgrep -P $launcher | tail -n 1)"; wait $launcher; code=$?
  echo "killed one of two: all ended with $code after $((SECONDS - begun)) s"
  grep -h . "$OBV_DATA"/runs/long-tiny*/skipped.jsonl | head -3
  cp "$work/clip.mp4" "$clip"
  $run 2>&1 | grep "going on\|^step 5./\|steps in\|Error"
  "$python" - "$OBV_DATA/runs" <<'PY'
import pathlib, sys, torch, transformers
folder = next(p for p in sorted(pathlib.Path(sys.argv[1]).glob("long-tiny*")) if (p / "model").is_dir())
model = transformers.AutoModelForImageTextToText.from_pretrained(folder / "model")
transformers.AutoProcessor.from_pretrained(folder / "model")
print("plain transformers opens it:", type(model).__name__, model.dtype, model.num_parameters())
print("weights finite:", all(torch.isfinite(w).all().item() for w in model.parameters()))
PY
}
nvidia-smi topo -m; nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv
LAUNCH=$python
bench clips 150 --make clips &
CUDA_VISIBLE_DEVICES=1 bench make_7b 120 --make 7b tiny &
CUDA_VISIBLE_DEVICES=0 bench make_2b 60 --make 2b
wait
(
  export CUDA_VISIBLE_DEVICES=1
  bench lora_7b 130 --model 7b --rows short --warm 2 --steps 5 --changes lora_rank=16
  bench frozen_7b 130 --model 7b --rows short --warm 2 --steps 5 --changes trains_vision=false rows_per_step=1
) &
CUDA_VISIBLE_DEVICES=0 bench alone_2b 150 --rows short --warm 6 --steps 16 --changes rows_per_step=2
wait
LAUNCH="$launch --multi_gpu"
bench replicated_2b 120 --rows short --warm 6 --steps 20 --profile
LAUNCH="$launch $fsdp2"
bench sharded_2b 120 --rows short --warm 6 --steps 20 --profile
bench sharded_7b 150 --model 7b --rows short --warm 3 --steps 8
LAUNCH=$python
CUDA_VISIBLE_DEVICES=0 bench alone_tiny 60 --model tiny --rows long --warm 2 --steps 2
export -f kill_one
export out work python launch fsdp2
part killed 150 bash -c kill_one
echo "all ended at $((SECONDS - began)) s"
