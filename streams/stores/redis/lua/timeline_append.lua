-- Append one fresh photo to those timelines of many owners that exist.
--
-- KEYS[1]  any timeline's key, so that the call reaches a node (not used)
-- ARGV[1]  prefix of timeline keys
-- ARGV[2]  photo id, 8 bytes, big-endian; minted less than fresh_s_max ago
-- ARGV[3]  owners, packed 8-byte ids, at most append_owners_max of them
-- ARGV[4]  slots of a timeline
-- returns  how many timelines were written
--
-- core/ring.py describes the layout. The number of arrivals selects the slot to overwrite, so
-- a value is never trimmed and never grows. An overwritten photo raises the floor. Readers sort
-- and remove duplicates, so redelivery is harmless. Cost: 3 commands an owner, 5 if the ring is
-- full. One script, because one round trip an owner would cost ten times that.
--
-- Keys are built here from packed ids, and ids are compared as two halves, because Lua's
-- numbers lose integers above 2^53.

local prefix, photo, owners, slots = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local FLOOR, HEADER, ENTRY = 16, 24, 8
local written = 0

local function above(a, b)
  local a_high, a_low = struct.unpack('>I4I4', a)
  local b_high, b_low = struct.unpack('>I4I4', b)
  return a_high > b_high or (a_high == b_high and a_low > b_low)
end

for at = 1, #owners, ENTRY do
  local key = prefix .. string.sub(owners, at, at + ENTRY - 1)
  if redis.call('EXISTS', key) == 1 then -- The other owners do not read.
    local arrivals = redis.call('BITFIELD', key, 'INCRBY', 'u32', '0', '1')[1]
    local slot = HEADER + (arrivals - 1) % slots * ENTRY
    if arrivals > slots then
      local overwritten = redis.call('GETRANGE', key, slot, slot + ENTRY - 1)
      if above(overwritten, redis.call('GETRANGE', key, FLOOR, HEADER - 1)) then
        redis.call('SETRANGE', key, FLOOR, overwritten)
      end
    end
    redis.call('SETRANGE', key, slot, photo)
    written = written + 1
  end
end

return written
