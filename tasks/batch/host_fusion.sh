# Room for Fusion's cache: the instance's own NVMe disks as /scratch/fusion, else the root volume.
# aws.batch.volumes shows that folder to jobs as /tmp.

scratch=/scratch/fusion
mkdir -p "$scratch" || fail "$scratch can't be made"
mapfile -t disks < <(lsblk --nodeps --noheadings --paths --output NAME,MODEL |
    sed -n 's/^\(\S*\) .*Amazon EC2 NVMe Instance Storage.*/\1/p')
device=${disks[0]-}
if [ "${#disks[@]}" -gt 1 ]; then
    device=/dev/airlock/scratch
    { pvcreate "${disks[@]}" && vgcreate airlock "${disks[@]}" &&
        lvcreate --extents 100%FREE --name scratch airlock; } ||
        fail "the disks ${disks[*]} can't be joined"
fi
if [ -z "$device" ]; then
    log "no NVMe disk: $scratch is on the root volume"
elif mountpoint --quiet "$scratch"; then
    log "$scratch is mounted already"
else
    { mkfs.xfs -q "$device" && mount "$device" "$scratch"; } ||
        fail "$device can't be mounted as $scratch"
    log "$scratch is on $device"
fi
chmod a+w "$scratch"
