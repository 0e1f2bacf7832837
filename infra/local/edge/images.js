// Lets nothing but images out of the shield, whatever is stored under a key and whichever key signed the URL.
//
// A thumbnail of an upstream app is any object of the bucket, and a page or a script in place of a photo would
// run in the browsers of its viewers.
import origin from 'origin.js';

// Statuses with bytes of the object. A 304 has no type, and an edge that asks for it has the object from here.
const SERVED = [200, 206];

// A header filter: without S3's own headers, or a refusal without any. Edges cache it for a second, as any 403.
function tell(r) {
    if (SERVED.indexOf(r.status) < 0 || /^image\/./i.test(r.headersOut['Content-Type'] || '')) {
        origin.hide_store(r);
        return;
    }
    Object.keys(r.headersOut).forEach((name) => {
        delete r.headersOut[name];
    });
    r.status = 403;
    r.headersOut['Content-Length'] = '0';
}

// A body filter: nothing of what was refused is sent.
function send(r, data, flags) {
    if (r.status !== 403) {
        r.sendBuffer(data, flags);
        r.done();  // The rest passes without this script.
    } else if (flags.last) {
        r.sendBuffer('', flags);
    }
}

export default { tell, send };
