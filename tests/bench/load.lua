-- What wrk asks for: a page of one of many sessions, each with its own cookie, so that every request is another route's.
-- Arguments: a file of lines "<session id> <token>", and milliseconds that a connection rests before each request.
local requests, pause = {}, 0

function init(arguments)
    pause = tonumber(arguments[2])
    for line in io.lines(arguments[1]) do
        local session, token = line:match("^(%S+) (%S+)$")
        wrk.headers["Cookie"] = "binder-session=" .. token
        requests[#requests + 1] = wrk.format("GET", "/s/" .. session .. "/api")
    end
end

function request()
    return requests[math.random(#requests)]
end

function delay()
    return pause
end

function done(summary, latency)
    local errors = summary.errors
    io.write(string.format(
        'RESULT {"requests": %d, "microseconds": %d, "p99_microseconds": %d, "failed": %d}\n',
        summary.requests, summary.duration, latency:percentile(99),
        errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
