// What is counted, and how Prometheus reads it. The counts survive a reload, not a restart.

const RESULTS = ['hit', 'miss', 'stale', 'updating', 'expired', 'revalidated', 'refused', 'failed'];

function add(name, count) {
    ngx.shared.counters.incr(name, count, 0);
}

// Evaluated for each request when it is logged: counts it, and says whether it goes into the log of views.
function view(r) {
    const v = r.variables;
    add('requests.' + result(v), 1);
    add('bytes_sent', Number(v.bytes_sent));
    return r.method === 'GET' && ['200', '206', '304'].indexOf(v.status) >= 0 ? '1' : '';
}

function result(v) {
    const cache = (v.upstream_cache_status || '').toLowerCase();
    if (RESULTS.indexOf(cache) >= 0) {
        return cache;
    }
    return v.status === '403' ? 'refused' : 'failed';
}

function metrics(r) {
    const lines = [];
    sample(lines, 'requests', 'Requests, by what the cache did for them.',
           RESULTS.map((each) => [',result="' + each + '"', 'requests.' + each]));
    sample(lines, 'bytes_sent', 'Bytes sent to those who asked, headers included.', [['', 'bytes_sent']]);
    sample(lines, 'purged_objects', 'Objects whose copies were to be forgotten.', [['', 'purged_objects']]);
    if (facts.role === 'shield') {
        sample(lines, 'origin_fetches', 'Requests made of S3.', [['', 'origin_fetches']]);
    }
    r.headersOut['Content-Type'] = 'text/plain; version=0.0.4';
    r.return(200, lines.join('\n') + '\n');
}

function sample(lines, name, meaning, samples) {
    const full = 'shutterline_edge_' + name + '_total';
    lines.push('# HELP ' + full + ' ' + meaning, '# TYPE ' + full + ' counter');
    samples.forEach((each) => {
        const count = ngx.shared.counters.get(each[1]) || 0;
        lines.push(full + '{role="' + facts.role + '"' + each[0] + '} ' + count);
    });
}

export default { add, view, metrics };
