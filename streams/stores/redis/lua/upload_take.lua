-- Count one upload of a user, if the last minute has room for it.
--
-- KEYS[1]  the user's uploads: names by the time in milliseconds at which they were counted
-- ARGV[1]  the upload's name
-- ARGV[2]  the maximum of uploads in the window
-- ARGV[3]  the window in milliseconds
-- returns  0 if it is counted, now or before; otherwise the milliseconds until there is room
--
-- Atomic, because two processes that read first would both find room.
-- Uses only this node's clock. At most ARGV[2] members are stored.

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
