-- Count one upload of a user, if the last minute has room for it.
--
-- KEYS[1]  the user's uploads: names by when they were counted, in milliseconds
-- ARGV[1]  the upload's name
-- ARGV[2]  how many there may be
-- ARGV[3]  in how many milliseconds
-- returns  0 when it was counted (also when it had been before), otherwise in how many
--          milliseconds there will be room
--
-- In one script, because two processes that looked first would both find room.
-- Uses this node's clock alone. Cost: at most ARGV[2] members are kept.

local now = redis.call('TIME')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
local most, window_ms = tonumber(ARGV[2]), tonumber(ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now_ms - window_ms)
if redis.call('ZSCORE', KEYS[1], ARGV[1]) then
  return 0
end
if redis.call('ZCARD', KEYS[1]) >= most then
  local oldest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
  return math.max(1, tonumber(oldest[2]) + window_ms - now_ms)
end
redis.call('ZADD', KEYS[1], now_ms, ARGV[1])
redis.call('PEXPIRE', KEYS[1], window_ms)
return 0
