set -eu
. /run/binder/environment
cd /home/jovyan
exec ./'binder/post Build'
