// What holds the namespaces of a pod.
module binder/tests/cluster/pause

go 1.26.0
