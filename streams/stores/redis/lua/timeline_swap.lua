-- Replace a timeline's bytes, if nothing has been written since they were read.
--
-- KEYS[1]  the timeline
-- ARGV[1]  its first 16 bytes as they were read: arrivals, version, rebuild token
-- ARGV[2]  the new bytes
-- ARGV[3]  the new TTL in seconds, or '' for no change of the TTL
-- returns  1 if replaced, 0 if the timeline has changed or is gone
--
-- Atomic, because an append between the comparison and the write would be lost.

if redis.call('GETRANGE', KEYS[1], 0, 15) ~= ARGV[1] then
  return 0
end
if ARGV[3] == '' then
  redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
else
  redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
end
return 1
