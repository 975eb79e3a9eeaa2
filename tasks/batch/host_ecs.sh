# Settings of the ECS agent, which starts when all user data has run. What stands before this sets
# ecs_settings, a line for each.

set +x -u -o pipefail # no line of this is ever traced: it handles a secret
umask 022

log() {
    printf 'airlock: %s\n' "$*" # cloud-init writes it to /var/log/cloud-init-output.log
}

fail() {
    log "ERROR: $*" >&2
    exit 1
}

mkdir -p /etc/ecs || fail "/etc/ecs can't be made"
touch /etc/ecs/ecs.config
while read -r setting; do
    grep -qxF "$setting" /etc/ecs/ecs.config || printf '%s\n' "$setting" >>/etc/ecs/ecs.config ||
        fail "/etc/ecs/ecs.config can't be written"
done <<<"$ecs_settings"
