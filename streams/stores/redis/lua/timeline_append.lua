-- Append one fresh photo to the timelines of many owners, where they exist.
--
-- KEYS[1]  any timeline's key, so that the call reaches a node (not used)
-- ARGV[1]  prefix of timeline keys
-- ARGV[2]  photo id, 8 bytes, big-endian; minted less than fresh_s_max ago
-- ARGV[3]  owners, packed 8-byte ids, at most append_owners_max of them
-- ARGV[4]  slots of a timeline
-- returns  how many timelines were written
--
-- The layout is described in core/ring.py. The count of arrivals names the slot to
-- overwrite, so nothing is ever trimmed and the value never grows; what is overwritten
-- raises the floor. Order and duplicates are the reader's work, so redelivery is
-- harmless. Cost: 3 commands an owner, 5 where the ring is full.
--
-- Keys are binary and made here, because Lua numbers lose integers above 2^53; ids are
-- compared as two halves for the same reason.

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
  if redis.call('EXISTS', key) == 1 then -- Nobody reads the others.
    local arrivals = redis.call('BITFIELD', key, 'INCRBY', 'u32', '0', '1')[1]
    local slot = HEADER + (arrivals - 1) % slots * ENTRY
    if arrivals > slots then
      local dropped = redis.call('GETRANGE', key, slot, slot + ENTRY - 1)
      if above(dropped, redis.call('GETRANGE', key, FLOOR, HEADER - 1)) then
        redis.call('SETRANGE', key, FLOOR, dropped)
      end
    end
    redis.call('SETRANGE', key, slot, photo)
    written = written + 1
  end
end

return written
