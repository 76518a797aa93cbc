#!/bin/sh
# Runs inside a Docker build, in a folder that is mounted and never copied: installs the requirements beside it
# into the virtual environment, which it makes first where there is none.
# config/ may hold ca.pem and pip.conf; python-version the version asked for.
set -eu
here=$(dirname "$0")
venv=/opt/slipway/venv

# What runs here on the way leaves nothing compiled, with times inside; settle.py compiles all.
export PYTHONDONTWRITEBYTECODE=1
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_ROOT_USER_ACTION=ignore PIP_PROGRESS_BAR=off
# Retries back off up to about a minute: an index that is away for a moment fails no build.
export PIP_RETRIES=7 PIP_CACHE_DIR=/media/pip
[ ! -f "$here/config/pip.conf" ] || export PIP_CONFIG_FILE="$here/config/pip.conf"
if [ -f "$here/config/ca.pem" ]; then
  ca="$here/config/ca.pem"
  export PIP_CERT="$ca" SSL_CERT_FILE="$ca" REQUESTS_CA_BUNDLE="$ca" CURL_CA_BUNDLE="$ca" GIT_SSL_CAINFO="$ca"
fi

version_of() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])'; }

find_python() {
  if [ ! -f "$here/python-version" ]; then
    command -v python3 && return
    echo 'ERROR: the base image has no python3' >&2
    return 1
  fi
  asked=$(cat "$here/python-version")
  for name in "python$asked" python3; do
    if command -v "$name" >/dev/null && [ "$(version_of "$name")" = "$asked" ]; then
      command -v "$name"
      return
    fi
  done
  echo "ERROR: the base image has Python $(version_of python3 || echo none), slipway.yaml asks for $asked" >&2
  return 1
}

if [ ! -d "$venv" ]; then
  python=$(find_python)
  # pip stays outside: nothing is installed in a container that serves.
  "$python" -m venv --without-pip "$venv"
fi

cd "$here/requirements"
python3 -m pip --python "$venv/bin/python" install --no-compile -r requirements.txt
"$venv/bin/python" -c 'import gunicorn.app.base, prometheus_client'
"$venv/bin/python" "$here/settle.py" /opt/slipway
touch -d @315532800 /tmp /opt
