# Loads the images that a Dockerfile names. Prints each with its digest, followed by what it makes of those that begin
# with it. Runs in namespaces of its own.
# Arguments: the images.
set -eu
for image; do
    echo "--- wanted: $image"
    buildah pull --quiet --policy always "$image" >/dev/null
    buildah inspect --type image --format '--- pulled: {{.FromImageDigest}}
{{with .Docker}}{{with .Config}}{{range .OnBuild}}--- trigger: {{.}}
{{end}}{{end}}{{end}}' "$image"
done
