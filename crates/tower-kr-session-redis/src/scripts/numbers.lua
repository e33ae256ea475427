-- Integers of 64 bits as decimal text, exact: a Lua number rounds above 2^53.

local MAXIMUM = '9223372036854775807'
local MINIMUM = '-9223372036854775808'
local BILLION = 1000000000

-- Whether text is exactly what such an integer is written with: no plus sign, blanks or leading zeros.
local function is_integer(text)
  if text ~= '0' and not string.find(text, '^%-?[1-9]%d*$') then
    return false
  end
  local limit = MAXIMUM
  if string.byte(text) == 45 then
    limit = MINIMUM
  end
  return #text < #limit or (#text == #limit and text <= limit)
end

-- The billions and the rest; both have the sign of the number.
local function parts(text)
  local sign, digits = 1, text
  if string.byte(text) == 45 then
    sign, digits = -1, string.sub(text, 2)
  end
  if #digits <= 9 then
    return 0, sign * tonumber(digits)
  end
  return sign * tonumber(string.sub(digits, 1, -10)), sign * tonumber(string.sub(digits, -9))
end

-- The exact sum, which may not be an integer of 64 bits any more.
local function sum(a, b)
  if #a <= 15 and #b <= 15 then
    return string.format('%.0f', tonumber(a) + tonumber(b))
  end
  local high_a, low_a = parts(a)
  local high_b, low_b = parts(b)
  local high, low = high_a + high_b, low_a + low_b
  if high > 0 and low < 0 then
    high, low = high - 1, low + BILLION
  elseif high < 0 and low > 0 then
    high, low = high + 1, low - BILLION
  end
  if low >= BILLION then
    high, low = high + 1, low - BILLION
  elseif low <= -BILLION then
    high, low = high - 1, low + BILLION
  end
  if high == 0 then
    -- Adding zero turns a negative zero into a plain one.
    return string.format('%.0f', low + 0)
  end
  return string.format('%.0f%09.0f', high, math.abs(low))
end

local function saturating_add(a, b)
  local total = sum(a, b)
  if is_integer(total) then
    return total
  end
  return string.byte(total) == 45 and MINIMUM or MAXIMUM
end

-- Less a duration, which is never negative.
local function saturating_subtract(a, b)
  return saturating_add(a, b == '0' and b or '-' .. b)
end

local function less(a, b)
  local high_a, low_a = parts(a)
  local high_b, low_b = parts(b)
  return high_a < high_b or (high_a == high_b and low_a < low_b)
end

local function earlier(a, b)
  return less(b, a) and b or a
end

local function later(a, b)
  return less(a, b) and b or a
end

-- Milliseconds from now until then and the grace, for PEXPIRE: it takes no negative number and none that is too large.
local GRACE = 5 * 60 * 1000
local LONGEST = 1e15

local function lifetime(now, deadline)
  local left = tonumber(deadline) - tonumber(now)
  return string.format('%.0f', math.min(math.max(left, 0), LONGEST) + GRACE)
end
