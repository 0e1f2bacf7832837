// The shield's requests to the closed bucket, signed with SigV4 and a key that can only read.
import counters from 'counters.js';
import sigv4 from 'sigv4.js';

const EMPTY_BODY = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
// What a browser needs to know of an object. All else that S3 says is about S3.
const TOLD = ['content-type', 'content-length', 'content-range', 'accept-ranges', 'etag', 'last-modified',
              'cache-control'];

function host() {
    return facts.s3_host;
}

function path(r) {
    return '/' + facts.s3_bucket + r.variables.object_path;
}

function now() {
    return sigv4.date(Date.now());
}

// nginx asks for it once for each request that it makes of S3, also those made in the background: so these are
// what is counted.
function authorization(r) {
    counters.add('origin_fetches', 1);
    const time = r.variables.s3_date;
    const headers = [['host', facts.s3_host], ['x-amz-content-sha256', EMPTY_BODY], ['x-amz-date', time]];
    return sigv4.authorization(facts.s3_access_key, facts.s3_secret_key, {
        method: 'GET', path: path(r), query: '', headers, payload: EMPTY_BODY, date: time, region: facts.s3_region,
    });
}

function hide_store(r) {
    Object.keys(r.headersOut).forEach((name) => {
        if (TOLD.indexOf(name.toLowerCase()) < 0) {
            delete r.headersOut[name];
        }
    });
}

// A failure's status and nothing of its words.
function failed(r) {
    r.return(Number(r.variables.status));
}

export default { failed, host, path, now, authorization, hide_store };
