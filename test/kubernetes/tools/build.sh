#!/usr/bin/env bash
# Builds the Kubernetes programs that the tests start, at the version that go.mod names, and prints the folder that holds
# them. About five minutes on two cores the first time; nothing to do afterwards.
set -euo pipefail
cd "$(dirname "$0")"
version="$(sed -n 's|^.*k8s.io/kubernetes \(v[0-9.]*\).*$|\1|p' go.mod)"
: "${version:?go.mod names no version of Kubernetes}"
folder="${XDG_CACHE_HOME:-$HOME/.cache}/sealwright/kubernetes-${version#v}"
programs="kube-apiserver kube-controller-manager kubectl"
missing=""
for program in $programs; do
  [ -x "$folder/$program" ] || missing="$missing k8s.io/kubernetes/cmd/$program"
done
if [ -n "$missing" ]; then
  # Beside, and moved when done: a build that was broken off leaves nothing that looks finished.
  made="$folder.$$"
  mkdir -p "$folder" "$made"
  trap 'rm -rf "$made"' EXIT
  # shellcheck disable=SC2086 # a list of words
  go build -trimpath -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=$version" -o "$made/" $missing >&2
  mv "$made"/* "$folder/"
fi
echo "$folder"
