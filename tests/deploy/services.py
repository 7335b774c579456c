"""Small services for sessions of tests: nothing in them but busybox, so that every engine runs the very same."""

from dataclasses import replace

from modules.services import LOCALHOST, Seed, Service, Services

PORT = 8070
ODD = "a $(HOME) $$ 'b' \"c\" `d` é"
"""A value in which engines, shells and templates would find something to do."""

_SERVES = """\
printf %s "$GREETING" >/data/greeting
printf %s '$(GREETING) $$ $X' >/data/literal
echo "run as $(id -u)" >>/data/runs
while :; do nc -l -p 8071 >>/data/seeds; done &
sleep 1
httpd -p 8070 -h /data
echo ready
while [ ! -e /data/end ]; do sleep 0.1; done
busybox rm /data/end
echo "I was told to end"
exit 7
"""
SOW = ("sh", "-c", 'echo "sown of $0: $GREETING" | nc -w 5 127.0.0.1 8071', "it")
"""A seed: it says the notebook's variable to the service."""


def store(image: str | None, *, greeting: str = ODD) -> Services:
    """Return one service that takes a second to be ready, and what a notebook is told of it."""
    service = Service(
        name="store-server",
        module="store",
        component="server",
        host=LOCALHOST,
        image=image,
        command=("sh", "-c", _SERVES),
        environment={"GREETING": greeting},
        ports={"web": PORT},
        health=("wget", "-q", "-O", "-", f"http://127.0.0.1:{PORT}/greeting"),
        seconds=30,
        memory_bytes=64 * 2**20,
        cpus=0.5,
        folders=("/data",),
        apart=False,
        title="Store",
    )
    return Services((service,), {"GREETING": f"to {greeting}"}, titles={"store": "Store"})


def apart(services: Services, host: str) -> Services:
    """Return the same in pods of their own, that are reached at `host`."""
    return replace(services, services=tuple(replace(one, host=host, apart=True) for one in services.services))


def with_seed(services: Services, *command: str) -> Services:
    """Return the same with a seed."""
    return replace(services, seeds=(Seed("store", "data/seed.sh", command),))


def that_does(services: Services, script: str, *, seconds: int = 30) -> Services:
    """Return the same with a service that runs another script."""
    (service,) = services.services
    return replace(services, services=(replace(service, command=("sh", "-c", script), seconds=seconds),))
