# Prints content that Git LFS keeps, in the form of `git cat-file --batch`. Reads lines of aa/bb/SHA256.
while read -r path; do
    file=$GIT_DIR/lfs/objects/$path
    [ -f "$file" ] || { echo "${path##*/} missing"; continue; }
    printf '%s blob %s\n' "${path##*/}" "$(stat -c %s "$file")"
    cat "$file"
    echo
done
