#!/usr/bin/env bash
# Packs the project and installs the package into empty projects, as users do: no .npmrc, no variable of ours, npm 10
# and the npm that is here. Needs a build. Then the installed command line trains a little, and the installed types compile.
set -euo pipefail
cd "$(dirname "$0")/.."
project=$PWD
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

npm pack --silent --ignore-scripts --pack-destination "$place" >/dev/null
package=$(echo "$place"/*.tgz)
for key in $(env | sed -n 's/^\(npm_config_[^=]*\|NPM_CONFIG_[^=]*\|ONNXRUNTIME_[^=]*\)=.*/\1/p'); do unset "$key"; done

install() { # folder, npm to use
  mkdir "$place/$1"
  cd "$place/$1"
  echo '{ "private": true }' >package.json
  $2 install --no-audit --no-fund --loglevel=error "$package"
  ./node_modules/.bin/dwp doctor | grep -q 'engine native *yes'
  echo "$($2 --version 2>/dev/null): installed, $(du -sm node_modules | cut -f1) MB"
}

install npm-10 "npx --yes npm@10"
install npm-here npm

dwp=./node_modules/.bin/dwp
$dwp fit-prior node_modules/deep-weight-prior/kernels-dataset --size 7x7 --family gaussian --out prior >results.txt
$dwp sample-prior prior -n 4 --out samples.npy >>results.txt
$dwp train --data mnist --examples 50 --width 0.1 --prior standard-normal --steps 2 --out run >>results.txt
test -s samples.npy -a -s run/summary.json

cp "$project/.ci/entry-points.mts" .
ln -s "$project/node_modules/@types/node" node_modules/@types/node
"$project/node_modules/.bin/tsc" --strict --skipLibCheck false --noEmit --module nodenext --target es2022 --lib es2023 entry-points.mts
echo "the installed command line trains, the installed types compile"
