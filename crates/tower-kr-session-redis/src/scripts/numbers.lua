-- The sum of two integers of 64 bits in decimal text, exact: a Lua number rounds above 2^53. Or
-- nothing, and the reply that says why there is none. The second one is known to be an integer.
local function sum(a, b)
  if #a <= 15 and #b <= 15 then
    local number = tonumber(a)
    -- Only what an integer is written with: no plus sign, blanks, leading zeros or fractions.
    if not number or string.format('%d', number) ~= a then
      return nil, {'not_an_integer'}
    end
    return string.format('%d', number + tonumber(b))
  end

  local function is_integer(text)
    if text ~= '0' and not string.find(text, '^%-?[1-9]%d*$') then
      return false
    end
    local limit = string.byte(text) == 45 and '-9223372036854775808' or '9223372036854775807'
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
  local BILLION = 1000000000

  if not is_integer(a) then
    return nil, {'not_an_integer'}
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
  local total
  if high == 0 then
    total = string.format('%d', low)
  else
    total = string.format('%d%09d', high, math.abs(low))
  end
  if not is_integer(total) then
    return nil, {'overflow'}
  end
  return total
end
