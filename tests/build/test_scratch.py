import time
async def test_a(jupyter_image, builder, make_repository, store):
    t=time.time()
    print(await builder.inside(jupyter_image, "bash -c \"cat /proc/loadavg; ls -la /opt/binder/env/lib/python3*/site-packages/jupyterlab/__pycache__ | head -4; cp -r /opt/binder/env/lib /tmp/lib; find /tmp/lib -name '*.pyc' -delete; time python3 -I -S -m compileall -qq -j 0 --invalidation-mode unchecked-hash /tmp/lib 2>&1; echo $?\""))
    print(time.time()-t)
