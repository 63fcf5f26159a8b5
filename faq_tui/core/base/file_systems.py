"""Find out whether a folder lies on a file system that several machines share."""

from __future__ import annotations

from pathlib import Path

# The types of file systems whose files can be open on several machines.
NETWORK = {
    *("nfs", "nfs3", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "afs", "ceph", "lustre", "gpfs", "beegfs"),
    *("glusterfs", "wekafs", "panfs", "orangefs", "pvfs2", "ocfs2", "gfs2", "9p", "virtiofs"),
    *("fuse.glusterfs", "fuse.ceph", "fuse.sshfs", "fuse.juicefs", "fuse.s3fs", "fuse.gcsfuse"),
}


def is_shared(path: Path) -> bool:
    """True if `path` lies on a file system that several machines can use at the same time."""
    return type_of(path) in NETWORK


def type_of(path: Path) -> str:
    """The type of the file system of `path`, such as "ext4" or "nfs4"; "" if the system does not report it."""
    import psutil

    folder = path.resolve()
    parts = [(part.mountpoint, part.fstype) for part in psutil.disk_partitions(all=True)]
    # the last of several file systems with the same mount point hides the earlier ones
    around = [
        (len(Path(point).parts), number) for number, (point, _) in enumerate(parts) if folder.is_relative_to(point)
    ]
    return parts[max(around)[1]][1].lower() if around else ""
