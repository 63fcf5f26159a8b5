"""Run worker children on the machines of a Ray cluster. Ray is imported only if the settings name a cluster.

Ray decides which machine gets which task, and repeats the tasks of a lost machine. The job's process stays the only
one that writes to the database: the tasks send it the same messages that a local worker child sends.

`connection.py` connects to a cluster, or starts one on this machine, and lists its machines.
`pool.py` starts tasks and receives their messages, with the methods of `core.worker.pool`.
`mailbox.py` passes messages from the tasks to the job.
`node.py` is the program of a task: it runs a worker child on its machine.
`parcels.py` sends files through Ray's object store if a machine does not see the run's folder.
`places.py` says which values in a task's spec are paths.
"""
