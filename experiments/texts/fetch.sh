#!/usr/bin/env bash
# Fetches real prose for --haystack out of Debian packages: kjv.txt (bible-kjv-text), debian-faq.txt (debian-faq) and
# manuals.txt (manpages). Nothing is installed; needs apt-get, dpkg-deb and man. The texts are not part of this project.
# usage: bash experiments/texts/fetch.sh [FOLDER]     default: build/texts
set -euo pipefail

case ${1:-} in
  -h | --help) sed -n '2,4s/^# //p' "${BASH_SOURCE[0]}"; exit 0 ;;
  -*) echo "fetch: unknown option '$1' (see --help)" >&2; exit 2 ;;
esac
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
folder=${1:-$root/build/texts}
for tool in apt-get dpkg-deb man col gzip; do
  command -v "$tool" > /dev/null || { echo "fetch: $tool is needed, is missing; install it (apt, dpkg, man-db, bsdextrautils, gzip)" >&2; exit 1; }
done
mkdir -p "$folder"
partial=$(mktemp -d "$folder/.fetch.XXXXXX")
trap 'rm -rf "$partial"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Leaves a package's files in $partial/NAME.
unpack() {
  (cd "$partial" && apt-get download "$1" > download.log 2>&1) || {
    echo "fetch: package $1 must be available, apt-get download failed: $(grep '^E:' "$partial/download.log" | head -n 1); try apt-get update" >&2
    exit 1
  }
  dpkg-deb -x "$partial/$1"_*.deb "$partial/$1"
}

# One paragraph a verse or section, without the numbers and the broken lines.
unpack bible-kjv
unpack bible-kjv-text
"$partial/bible-kjv/usr/bin/bible" -p "$partial/bible-kjv-text/usr/lib" 'Gen1:1-Rev22:21' < /dev/null |
  awk '/^[A-Z0-9].* [0-9]+$/ && NF <= 4 { printf "%s", "\n\n"; next }
       NF { sub(/^ +[0-9]+ /, ""); printf "%s ", $0 }' > "$partial/kjv.txt"

unpack debian-faq
gzip -dc "$partial/debian-faq/usr/share/doc/debian/FAQ/debian-faq.en.txt.gz" > "$partial/debian-faq.txt"

unpack manpages
for page in "$partial"/manpages/usr/share/man/man[57]/*.[57].gz; do
  [[ -L $page ]] && continue
  MANWIDTH=100 MAN_KEEP_FORMATTING='' LC_ALL=C.UTF-8 man --no-hyphenation --no-justification -l "$page" 2> /dev/null | col -bx
done > "$partial/manuals.txt"

for text in kjv debian-faq manuals; do
  [[ $(wc -c < "$partial/$text.txt") -gt 100000 ]] || { echo "fetch: $text.txt must have more than 100 kB, has $(wc -c < "$partial/$text.txt")" >&2; exit 1; }
  mv "$partial/$text.txt" "$folder/$text.txt"
  echo "$folder/$text.txt"
done
