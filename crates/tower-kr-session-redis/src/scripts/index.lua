-- The index of an owner's sessions is one hash:
--   revocations  how often all sessions of the owner were revoked; absent before the first time
--   not_before   when that was last done: a sign-in that was checked until then is refused
--   ID           the entry of a session: `COUNT:STATE:TIME`, where COUNT is the number of
--                revocations when it was written.
--                An entry with a lower one is revoked. The states:
--     until      the record carries this owner; TIME is its absolute deadline
--     sign_in    a sign-in that holds the record's secret is on its way since TIME; a nonce follows
--     creation   a new record is on its way since TIME; a nonce follows
-- No script goes through all entries.

local ON_ITS_WAY = 60 * 1000

-- The parts of an entry, if it is there and can be read.
local function parts(entry)
  local count, state, time = string.match(entry or '', '^(%d+):([%a_]+):(%-?%d+)')
  return tonumber(count), state, time
end

local function count_revocations(key)
  return tonumber(redis.call('HGET', key, 'revocations') or 0)
end

-- Whether a field is the entry of a session.
local function is_entry(field)
  return field ~= 'revocations' and field ~= 'not_before'
end

-- Whether a sign-in that was checked at this time was revoked since.
local function is_too_old(key, authenticated_at)
  local not_before = redis.call('HGET', key, 'not_before')
  return not_before and tonumber(authenticated_at) <= tonumber(not_before)
end

-- Makes Redis keep the index for so long, and a grace of five minutes. PEXPIRE takes no number that
-- is too large.
local function keep(key, left)
  left = math.min(math.max(left, 0), 1e15) + 5 * 60 * 1000
  if redis.call('PTTL', key) < left then
    redis.call('PEXPIRE', key, string.format('%.0f', left))
  end
end

-- Writes that the record carries the owner.
local function hold(key, id, entry, count, deadline, now)
  local held = string.format('%d:until:%s', count, deadline)
  if held ~= entry then
    redis.call('HSET', key, id, held)
    keep(key, tonumber(deadline) - tonumber(now))
  end
end
