"""The stand-in for GitHub, met as its users meet it: real git, the real PyGithub and a real receiver of webhooks."""
