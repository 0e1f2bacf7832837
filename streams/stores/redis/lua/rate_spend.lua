-- Take tokens from a bucket that all processes share, even if fewer are left.
--
-- KEYS[1]  the bucket: `left`, and the time in microseconds at which that was left
-- ARGV[1]  the refill a second
-- ARGV[2]  the burst: the maximum of `left`, and of the debt
-- ARGV[3]  the tokens to take
-- returns  what is left, as text; negative for a debt
--
-- Atomic, because two processes that read first would both spend the same tokens.
-- Uses only this node's clock. A bucket that does not exist is full, so it expires once it is full.

local now = redis.call('TIME')
local now_us = now[1] * 1000000 + now[2]
local per_s, burst, tokens = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local stored = redis.call('HMGET', KEYS[1], 'left', 'at_us')
local left = tonumber(stored[1]) or burst
local at_us = tonumber(stored[2]) or now_us
left = math.min(burst, left + math.max(0, now_us - at_us) / 1000000 * per_s)
left = math.max(-burst, left - tokens)
redis.call('HSET', KEYS[1], 'left', string.format('%.6f', left), 'at_us', string.format('%.0f', now_us))
redis.call('PEXPIRE', KEYS[1], math.ceil((burst - left) / per_s * 1000) + 1)
return string.format('%.6f', left)
