/*
 * worker.h - a process that serves: smtp, mailbox or runner.
 *
 * Reads its configuration from the master, drops root, loads the plugins of
 * its role, opens them, confines itself, says "ready" and serves until told
 * to drain or until the master is gone.
 */
#ifndef PROC_WORKER_H
#define PROC_WORKER_H

/* Exit status: 0 after a drain, 78 (EX_CONFIG) when it cannot start. */
int worker_main(int argc, char **argv);

#endif
