# Loads the images that a Dockerfile names; one without a registry comes from where Docker's images come from. Prints
# each with its id and digest, followed by what it makes of those that begin with it. Runs in namespaces of its own.
# Arguments: the images.
set -eu
for image; do
    echo "--- wanted: $image"
    id=$(buildah pull --quiet --policy always "docker://$image")
    buildah inspect --type image --format '--- pulled: {{.FromImageID}} {{.FromImageDigest}}
{{with .Docker}}{{with .Config}}{{range .OnBuild}}--- trigger: {{.}}
{{end}}{{end}}{{end}}' "$id"
done
