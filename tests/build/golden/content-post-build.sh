set -eu
. /run/binder/environment
cd /home/jovyan
(exec ./'binder/post Build')
/usr/bin/python3 -I -S /run/asked/inventory.py || true
