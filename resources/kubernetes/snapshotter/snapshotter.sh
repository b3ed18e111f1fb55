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

# containerd's settings with the snapshotter as that of Kubernetes. A table must not stand twice:
# keys go into the one that is there. The table has another name since version 3 (containerd 2).
edit_config() {
    awk -v name="$name" -v address="$socket" '
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
            print "\n[proxy_plugins." name "]\ntype = \"snapshot\"\naddress = \"" address "\""
        }
    ' "$1"
}

install_it() {
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
        edit_config "$config" >"$config.new"
        cp -p "$config" "$saved"
        mv "$config.new" "$config"
        on_host systemctl restart containerd.service
    fi
}

uninstall_it() {
    if [ -e "$saved" ]; then
        mv "$saved" "$config"
        on_host systemctl restart containerd.service
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
    trap 'exit 0' TERM
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
