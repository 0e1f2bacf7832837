-- Put a new layout of a timeline in place, if nothing has been written since it was read.
--
-- KEYS[1]  the timeline
-- ARGV[1]  its first 16 bytes as they were read: arrivals, version, rebuild token
-- ARGV[2]  the new bytes
-- ARGV[3]  its life in seconds from now, or '' to keep what it has
-- returns  1 when swapped, 0 when it has moved or is gone
--
-- Atomic, because an append between the look and the write would be lost.

if redis.call('GETRANGE', KEYS[1], 0, 15) ~= ARGV[1] then
  return 0
end
if ARGV[3] == '' then
  redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
else
  redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
end
return 1
