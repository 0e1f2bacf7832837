// What each server does once a second.
import fs from 'fs';

// Eight files of about 16 MiB: some two million views.
const VIEWS_BYTES_MAX = 16 * 1024 * 1024;
const VIEWS_FILES = 8;

function turn_views_log() {
    if (ngx.worker_id !== 0 || size(facts.views) < VIEWS_BYTES_MAX) {
        return;
    }
    for (let number = VIEWS_FILES - 2; number >= 0; number--) {
        const from = number === 0 ? facts.views : facts.views + '.' + number;
        if (size(from) >= 0) {
            fs.renameSync(from, facts.views + '.' + (number + 1));
        }
    }
}

function size(file) {
    try {
        return fs.statSync(file).size;
    } catch (e) {
        return -1;
    }
}

// Workers outlive a killed master and would hold its ports. The master leads their process group.
function leave_with_master() {
    const master = Number(fs.readFileSync(facts.pid_file));
    if (process.ppid !== master) {
        process.kill(-master, 'SIGKILL');
    }
}

export default { turn_views_log, leave_with_master };
