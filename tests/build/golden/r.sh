set -eu
. /run/binder/environment
export R_LIBS_USER=/opt/binder/r R_PROFILE_USER=/tmp/r/profile.R TMPDIR=/tmp TZ=UTC LC_ALL=C.UTF-8
mkdir -p "$R_LIBS_USER" /tmp/r
cat >/tmp/r/profile.R <<'END'
local({
    snapshot <- "2024-03-01"
    url <- Sys.getenv(if (nzchar(snapshot)) "BINDER_CRAN_SNAPSHOT_URL" else "BINDER_CRAN_URL")
    if (nzchar(snapshot) && !nzchar(url)) {
        cat("--- R: no snapshots: ", snapshot, "\n", sep = "")
        quit("no", 1, FALSE)
    }
    url <- sub("{date}", snapshot, sub("{suite}", "bookworm", url, fixed = TRUE), fixed = TRUE)
    if (nzchar(url)) options(repos = c(CRAN = url))
    options(Ncpus = max(1L, parallel::detectCores(), na.rm = TRUE), timeout = 300)
})
END
cat >/tmp/r/strictly.R <<'END'
strictly <- function(place, code) {
    failed <- paste0(
        "(is|are) not available|had non-zero exit status|installation of one or more packages failed|",
        "unable to access index for repository|download of package .* failed"
    )
    tell <- function(condition) {
        cat("\n--- R: ", place, ": ", gsub("[[:space:]]+", " ", conditionMessage(condition)), "\n", sep = "")
        quit("no", 1, FALSE)
    }
    warned <- function(condition) if (grepl(failed, conditionMessage(condition))) tell(condition)
    withCallingHandlers(code, error = tell, warning = warned)
}
END
cat >/tmp/r/needs.R <<'END'
source("/tmp/r/strictly.R")
local({
    needs <- list(c("tiny", ">=", "1.1", "3"), c("digest", "", "", "3"))
    fits <- function(need) {
        has <- tryCatch(as.character(packageVersion(need[1])), error = function(absent) NULL)
        !is.null(has) && (!nzchar(need[2]) || do.call(need[2], list(compareVersion(has, need[3]), 0)))
    }
    missing <- Filter(Negate(fits), needs)
    if (length(missing)) strictly("DESCRIPTION", install.packages(vapply(missing, `[`, "", 1)))
    for (need in Filter(Negate(fits), needs)) {
        place <- paste("DESCRIPTION line", need[4])
        strictly(place, stop("there is no ", need[1], " ", need[2], " ", need[3], call. = FALSE))
    }
})
END
Rscript /tmp/r/needs.R
cat >/tmp/r/run.R <<'END'
(function() {
    source("/tmp/r/strictly.R", local = TRUE)
    install <- strictly("install.R", parse("/run/asked/install.R", keep.source = TRUE, encoding = "UTF-8"))
    for (number in seq_along(install)) {
        place <- paste("install.R line", attr(install, "srcref")[[number]][1])
        result <- strictly(place, withVisible(eval(install[[number]], globalenv())))
        if (result$visible) print(result$value)
    }
})()
END
cd ~
Rscript /tmp/r/run.R || { echo "--- R: install.R: it ended with status $?"; exit 1; }
rm -rf /tmp/r /tmp/downloaded_packages
