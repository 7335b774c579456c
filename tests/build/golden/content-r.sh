set -eu
. /run/binder/environment
cd /home/jovyan
mkdir -p "$R_LIBS_USER"
R CMD INSTALL --clean --no-docs .
