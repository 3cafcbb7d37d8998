# One look at a machine, for rbee: prints a line "key<TAB>value" for each thing that is found, and changes nothing.
# Arguments: the port that a hive would take, the queen's host and port, the package index's host and port; "" for none.
say() { printf '%s\t%s\n' "$1" "$2"; }
has() { command -v "$1" >/dev/null 2>&1; }
PATH="$PATH:$HOME/.local/bin:$HOME/.cargo/bin:/usr/local/bin:/opt/homebrew/bin:/usr/sbin:/sbin"
LC_ALL=C
export PATH LC_ALL

system=$(uname -s)
say time "$(date +%s)"
say system "$system"
say arch "$(uname -m)"
say user "$(id -un)"
say home "$HOME"
if [ -r /etc/os-release ]; then
  say release "$(. /etc/os-release && printf '%s' "${PRETTY_NAME:-}")"
elif has sw_vers; then
  say release "macOS $(sw_vers -productVersion)"
fi

if [ "$system" = Linux ]; then
  if libc=$(getconf GNU_LIBC_VERSION 2>/dev/null) && [ -n "$libc" ]; then
    say libc "$libc"
  else
    for file in /lib/ld-musl-*; do
      if [ -e "$file" ]; then say libc "musl $("$file" 2>&1 | sed -n 's/^Version //p')"; fi
    done
  fi
fi

for name in python3.14 python3.13 python3.12 python3.11 python3 python; do
  if found=$(command -v "$name" 2>/dev/null) && [ -n "$found" ]; then
    version=$("$found" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null) && say python "$version $found"
    if [ -z "${python:-}" ] && [ -n "$version" ]; then python=$found; fi
  fi
done
if has uv; then say uv "$(uv --version 2>/dev/null | cut -d ' ' -f 2) $(command -v uv)"; fi

say disk_kib "$(df -Pk "$HOME" 2>/dev/null | awk 'NR == 2 { print $4 }')"
if [ -r /proc/meminfo ]; then
  say memory_kib "$(awk '/^MemTotal:/ { print $2 }' /proc/meminfo)"
elif has sysctl; then
  say memory_bytes "$(sysctl -n hw.memsize 2>/dev/null)"
fi
say cpus "$(getconf _NPROCESSORS_ONLN 2>/dev/null)"

if has nvidia-smi; then
  nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader,nounits 2>/dev/null | while IFS= read -r line; do
    say nvidia "$line"
  done
fi
for device in /sys/bus/pci/devices/*; do
  if [ -r "$device/class" ]; then
    case $(cat "$device/class") in
      0x03*) say card "$(cat "$device/vendor")" ;;
    esac
  fi
done
if [ -e /dev/kfd ]; then say amd /dev/kfd; fi
if [ "$system" = Darwin ]; then say apple "$(sysctl -n machdep.cpu.brand_string 2>/dev/null)"; fi

if [ "$system" = Darwin ]; then
  say init launchd
elif [ -d /run/systemd/system ] && has systemctl; then
  if [ -z "${XDG_RUNTIME_DIR:-}" ]; then XDG_RUNTIME_DIR=/run/user/$(id -u); export XDG_RUNTIME_DIR; fi
  if systemctl --user show-environment >/dev/null 2>&1; then say init systemd; else say init systemd-without-user; fi
  say linger "$(loginctl show-user "$(id -un)" -p Linger --value 2>/dev/null)"
else
  say init none
fi

if [ -r /proc/net/tcp ]; then
  hex=$(printf '%04X' "$1")
  say port_taken "$(cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk -v port=":$hex" '
    $4 == "0A" && substr($2, length($2) - 4) == port { found = 1 } END { print found ? "yes" : "no" }')"
elif has netstat; then
  say port_taken "$(netstat -an 2>/dev/null | awk -v port="[.:]$1\$" '
    /LISTEN/ && $4 ~ port { found = 1 } END { print found ? "yes" : "no" }')"
fi

reaches() {
  if [ -n "${python:-}" ]; then
    if "$python" -c 'import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 4).close()' "$1" "$2" 2>/dev/null
    then echo yes; else echo no; fi
  elif has nc; then
    if nc -z -w 4 "$1" "$2" >/dev/null 2>&1; then echo yes; else echo no; fi
  elif has curl; then
    curl -s -o /dev/null -m 4 "http://$1:$2/" >/dev/null 2>&1
    case $? in 5 | 6 | 7 | 28) echo no ;; *) echo yes ;; esac
  fi
}
if [ -n "$2" ]; then say reaches_queen "$(reaches "$2" "$3")"; fi
if [ -n "$4" ]; then say reaches_index "$(reaches "$4" "$5")"; fi
say done yes
