// The shield's requests to the closed bucket, signed with SigV4 and a key that can only read.
import crypto from 'crypto';
import counters from 'counters.js';

const EMPTY_BODY = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
const SIGNED = 'host;x-amz-content-sha256;x-amz-date';
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
    return new Date().toISOString().replace(/[-:]|\.\d{3}/g, '');
}

// nginx asks for it once for each request that it makes of S3, also those made in the background: so these are
// what is counted.
function authorization(r) {
    counters.add('origin_fetches', 1);
    const time = r.variables.s3_date;
    const scope = time.substring(0, 8) + '/' + facts.s3_region + '/s3/aws4_request';
    const canonical = ['GET', path(r), '', 'host:' + facts.s3_host, 'x-amz-content-sha256:' + EMPTY_BODY,
                       'x-amz-date:' + time, '', SIGNED, EMPTY_BODY].join('\n');
    const digest = crypto.createHash('sha256').update(canonical).digest('hex');
    const to_sign = ['AWS4-HMAC-SHA256', time, scope, digest].join('\n');
    const key = scope.split('/').reduce(hmac, 'AWS4' + facts.s3_secret_key);
    return 'AWS4-HMAC-SHA256 Credential=' + facts.s3_access_key + '/' + scope + ', SignedHeaders=' + SIGNED
        + ', Signature=' + hmac(key, to_sign).toString('hex');
}

function hmac(key, text) {
    return crypto.createHmac('sha256', key).update(text).digest();
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
