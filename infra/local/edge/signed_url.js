// Lets a request pass whose URL is signed: CloudFront's canned policy, RSA with SHA-1 as CloudFront has it.
//
// What was signed is the configured address and the path as it was sent, so the Host header, which the client
// chooses, has no say: a URL is good at every edge and for no other site.
import cors from 'cors.js';
import object_path from 'object_path.js';

const ALGORITHM = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-1' };

async function admit(r) {
    if (cors.is_preflight(r)) {
        cors.allow(r, 'GET, HEAD', 'If-None-Match, Range');
        return;
    }
    const path = object_path.requested(r);
    const reads = r.method === 'GET' || r.method === 'HEAD';
    if (path === '' || !reads || !(await is_signed(r.variables.request_uri))) {
        r.return(403);
        return;
    }
    r.variables.object_path = path;  // Only what was let in has one.
}

async function is_signed(uri) {
    const parts = uri.split('?');
    const args = parts.length === 2 ? arguments_of(parts[1]) : null;
    if (args === null || Number(args.Expires) <= Date.now() / 1000) {
        return false;
    }
    const trusted = facts.keys[args['Key-Pair-Id']];
    if (trusted === undefined) {
        return false;
    }
    const policy = '{"Statement":[{"Resource":"' + facts.media_url + parts[0]
        + '","Condition":{"DateLessThan":{"AWS:EpochTime":' + args.Expires + '}}}]}';
    const text = args.Signature.replace(/-/g, '+').replace(/_/g, '=').replace(/~/g, '/');
    try {
        const key = await crypto.subtle.importKey('spki', Buffer.from(trusted, 'base64'), ALGORITHM, false, ['verify']);
        return await crypto.subtle.verify(ALGORITHM, key, Buffer.from(text, 'base64'), Buffer.from(policy));
    } catch (e) {
        return false;
    }
}

// The three that a canned policy has, each once and nothing else; null otherwise.
function arguments_of(query) {
    const found = query.split('&');
    const args = {};
    found.forEach((each) => {
        const at = each.indexOf('=');
        args[each.substring(0, at)] = each.substring(at + 1);
    });
    const whole = found.length === 3
        && /^\d{1,12}$/.test(args.Expires || '')
        && /^[A-Za-z0-9_~-]{1,1024}$/.test(args.Signature || '')
        && /^[A-Z0-9]{1,64}$/.test(args['Key-Pair-Id'] || '');
    return whole ? args : null;
}

export default { admit };
