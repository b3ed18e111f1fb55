#!/bin/sh
# Put a snapshotter on a node, keep an eye on it, or take it away again.
# Usage: snapshotter.sh install|watch|uninstall|healthy NAME PROGRAM SOCKET
#   NAME     what containerd calls it: stargz, soci
#   PROGRAM  file name of the daemon, beside this script
#   SOCKET   where the daemon listens
# The node's files are below $HOST, the credentials of registries in $CREDENTIALS. It is safe to call
# it again: what is done is not done twice.
set -eu
action=$1 name=$2 program=$3 socket=$4
host=${HOST:-/host}
state=/var/lib/pullstudy-$name
config=$host/etc/containerd/config.toml
saved=$config.before-pullstudy-$name
unit=$host/etc/systemd/system/pullstudy-$name.service

on_host() { chroot "$host" "$@"; }
if [ -n "${ON_HOST:-}" ]; then on_host() { "$ON_HOST" "$@"; }; fi

# The first of these folders that is there: Container-Optimized OS lets programs run only there.
find_folder() {
    for folder in /home/kubernetes/bin /opt; do
        if [ -d "$host$folder" ]; then echo "$folder/pullstudy"; return; fi
    done
    mkdir -p "$host/opt" && echo /opt/pullstudy
}

# The daemon reads its credentials anew for each image: the secret of the installer, else root's on the
# node. Tokens in it run out, so it is looked at again and again.
keep_credentials() {
    kept=$host$state/config.json
    for file in "${CREDENTIALS:-/credentials}/.dockerconfigjson" "$host/root/.docker/config.json"; do
        if [ -e "$file" ]; then
            if ! cmp -s "$file" "$kept"; then
                (umask 077 && cat "$file" >"$kept.new")
                mv "$kept.new" "$kept"
            fi
            return
        fi
    done
    rm -f "$kept"
}

# containerd's settings as they were, with the snapshotter as that of Kubernetes. A table must not stand
# twice: keys go into the one that is there. It has another name since version 3 (containerd 2).
print_settings() {
    awk -v name="$name" '
        function close_table() {
            if (inside && !done) { print keys; done = 1 }
            inside = 0
        }
        BEGIN {
            table = "[plugins.\"io.containerd.grpc.v1.cri\".containerd]"
            keys = "snapshotter = \"" name "\"\ndisable_snapshot_annotations = false"
        }
        !head && /^[ \t]*version[ \t]*=[ \t]*3/ { table = "[plugins.\"io.containerd.cri.v1.images\"]" }
        /^[ \t]*\[/ {
            close_table()
            head = $0; gsub(/^[ \t]+|[ \t]+$/, "", head); gsub(/\047/, "\"", head)
            inside = head == table
            seen = seen || inside
        }
        inside && /^[ \t]*(snapshotter|disable_snapshot_annotations)[ \t]*=/ { next }
        { print }
        END {
            close_table()
            if (!seen) print "\n" table "\n" keys
        }
    ' "$saved"
}

print_proxy() { printf '\n[proxy_plugins.%s]\ntype = "snapshot"\naddress = "%s"\n' "$name" "$socket"; }

# What is printed to $config.new becomes containerd's settings, unless it has them.
use_settings() {
    if cmp -s "$config.new" "$config"; then
        rm "$config.new"
    else
        mv "$config.new" "$config"
        on_host systemctl restart containerd.service
        until on_host ctr version >/dev/null 2>&1; do sleep 1; done
    fi
}

check_node() {
    if ! on_host ctr --version >/dev/null; then
        echo "this node has no ctr: its container runtime is not containerd, or not where PATH leads" >&2
        exit 1
    fi
}

install_it() {
    check_node
    folder=$(find_folder)
    mkdir -p "$host$folder" "$(dirname "$host$socket")" "$host$state"
    keep_credentials
    # A running program cannot be overwritten, but replaced.
    cp "$(dirname "$0")/$program" "$host$folder/$program.new"
    mv "$host$folder/$program.new" "$host$folder/$program"
    cat >"$unit.new" <<END
[Unit]
Description=$name snapshotter of pullstudy
Before=containerd.service
[Service]
Environment=DOCKER_CONFIG=$state
ExecStart=$folder/$program --address=$socket --root=$state
# Its mounts outlive it, and nobody could read or delete them.
ExecStopPost=/bin/sh -c 'grep " $state/" /proc/mounts | cut -d " " -f 2 | xargs -r umount -l'
Restart=always
[Install]
WantedBy=multi-user.target
END
    if ! cmp -s "$unit.new" "$unit"; then
        mv "$unit.new" "$unit"
        on_host systemctl daemon-reload
        on_host systemctl enable "pullstudy-$name.service"
        on_host systemctl restart "pullstudy-$name.service"
    else
        rm "$unit.new"
    fi
    if [ ! -e "$saved" ]; then
        [ -e "$config" ] || { mkdir -p "$(dirname "$config")" && echo 'version = 2' >"$config"; }
        cp -p "$config" "$saved"
    fi
    { print_settings && print_proxy; } >"$config.new"
    use_settings
}

# From now on no container starts with it; those that run need it on.
leave_it() {
    [ -e "$saved" ] || return 0
    { cat "$saved" && print_proxy; } >"$config.new"
    use_settings
}

kubernetes_ctr() { on_host ctr --namespace k8s.io "$@"; }

# Containers that stand on it; the pod of the uninstaller itself does not count.
list_containers() {
    kubernetes_ctr containers list --quiet | while read -r container; do
        kubernetes_ctr containers info "$container" 2>/dev/null | awk -v container="$container" \
            -v name="\"$name\"" -v own="\"pullstudy-$name-uninstall\"" '
            /"Snapshotter":/ && index($0, name) { stands = 1 }
            /"io.kubernetes.pod.namespace":/ && index($0, own) { is_own = 1 }
            END { if (stands && !is_own) print container }
        '
    done
}

# Remove those that have ended, before the kubelet does, and print those that run.
sweep_containers() {
    running=$(kubernetes_ctr tasks list --quiet)
    for container in $(list_containers); do
        case $running in
        *"$container"*) echo "$container" ;;
        *) kubernetes_ctr containers remove "$container" >&2 || : ;;
        esac
    done
}

list_snapshots() {
    kubernetes_ctr snapshots --snapshotter "$name" list 2>/dev/null | awk 'NR > 1 { print $1 }'
}

# containerd would remember them, and miss them when the snapshotter is installed again. Those that
# others stand on go after these.
remove_snapshots() {
    for _ in $(seq 128); do
        keys=$(list_snapshots)
        [ -n "$keys" ] || return 0
        for key in $keys; do
            kubernetes_ctr snapshots --snapshotter "$name" remove "$key" 2>/dev/null || :
        done
    done
}

uninstall_it() {
    check_node
    leave_it
    for _ in $(seq 60); do
        users=$(sweep_containers)
        [ -n "$users" ] || break
        sleep 1
    done
    if [ -n "$users" ]; then
        echo "$name stays until these containers have ended:" $users
        return
    fi
    if [ -e "$saved" ]; then
        remove_snapshots
        cp -p "$saved" "$config.new"
        use_settings
        rm "$saved"
    fi
    if [ -e "$unit" ]; then
        on_host systemctl disable --now "pullstudy-$name.service"
        rm "$unit"
        on_host systemctl daemon-reload
    fi
    rm -rf "$host$(find_folder)" "$host$state"
}

is_healthy() {
    [ -S "$host$socket" ] && on_host ctr plugins list | grep -q "snapshotter.*[[:space:]]$name .*ok"
}

watch_it() {
    trap 'leave_it; exit 0' TERM
    while :; do
        keep_credentials
        sleep 60 &
        wait $!
    done
}

case $action in
install) install_it ;;
uninstall) uninstall_it ;;
healthy) is_healthy ;;
watch) watch_it ;;
*) echo "usage: snapshotter.sh install|watch|uninstall|healthy NAME PROGRAM SOCKET" >&2; exit 2 ;;
esac
