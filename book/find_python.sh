# Prints the first of these names that runs a supported Python: a name alone proves nothing.
for name in python3.11 python3.12 python3.13 python3 python; do
  version=$("$name" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2> /dev/null) || continue
  case $version in 3.11 | 3.12 | 3.13) echo "$name" && exit ;; esac
done
