set -eu
. /run/binder/environment
cd /home/jovyan
not_installed() { echo "--- not installed: $1"; exit 1; }
mkdir -p "$R_LIBS_USER"
R CMD INSTALL --clean --no-docs . || not_installed DESCRIPTION
/usr/bin/python3 -I -S /run/asked/inventory.py || true
