"""The part of the control surface that is about pull requests and what is said on them."""

from githubapp.sandbox import pull_requests
from githubapp.sandbox.surface import Surface
from githubapp.sandbox.values import Comment, PullRequest


class PullRequestSurface(Surface):
    """Pull requests, as people meet them."""

    async def open_pull_request(
        self,
        full_name: str,
        *,
        author: str,
        head: str,
        title: str,
        base: str | None = None,
        body: str | None = None,
        draft: bool = False,
    ) -> PullRequest:
        """Open one from `branch`, or from `owner:branch` of a fork, towards `base` or the default branch."""
        repository = self.world.repository(full_name)
        return await pull_requests.open_pull_request(
            self.world,
            repository,
            self._person(author),
            head=head,
            base_ref=base or repository.default_branch,
            title=title,
            body=body,
            draft=draft,
        )

    async def close_pull_request(self, full_name: str, number: int, *, sender: str | None = None) -> PullRequest:
        """Close it without merging."""
        pull = self._pull(full_name, number)
        return await pull_requests.close_pull_request(self.world, pull, self._person(sender or pull.author))

    async def reopen_pull_request(self, full_name: str, number: int, *, sender: str | None = None) -> PullRequest:
        """Open it again."""
        pull = self._pull(full_name, number)
        return await pull_requests.reopen_pull_request(self.world, pull, self._person(sender or pull.author))

    async def edit_pull_request(
        self,
        full_name: str,
        number: int,
        *,
        title: str | None = None,
        body: str | None = None,
        base: str | None = None,
        sender: str | None = None,
    ) -> PullRequest:
        """Change what is given."""
        pull = self._pull(full_name, number)
        who = self._person(sender or pull.author)
        return await pull_requests.edit_pull_request(self.world, pull, who, title=title, body=body, base_ref=base)

    async def set_draft(self, full_name: str, number: int, *, draft: bool, sender: str | None = None) -> PullRequest:
        """Mark it as a draft, or as ready for review."""
        pull = self._pull(full_name, number)
        return await pull_requests.set_draft(self.world, pull, self._person(sender or pull.author), draft=draft)

    async def set_label(
        self, full_name: str, number: int, *, label: str, labelled: bool = True, sender: str | None = None
    ) -> PullRequest:
        """Put a label on it, or take it off; by the owner of the repository if nobody is named."""
        pull = self._pull(full_name, number)
        who = self._sender(sender, self.world.repository(full_name))
        return await pull_requests.set_label(self.world, pull, who, label, labelled=labelled)

    async def comment(self, full_name: str, number: int, *, author: str, body: str) -> Comment:
        """Comment on a pull request as a person."""
        return pull_requests.add_comment(self.world, self._pull(full_name, number), self._person(author), body)

    async def edit_comment(self, comment_id: int, *, body: str, sender: str | None = None) -> Comment:
        """Change a comment's text."""
        comment = self._comment(comment_id)
        return pull_requests.edit_comment(self.world, comment, self._person(sender or comment.author), body)

    async def delete_comment(self, comment_id: int, *, sender: str | None = None) -> None:
        """Delete a comment."""
        comment = self._comment(comment_id)
        pull_requests.delete_comment(self.world, comment, self._person(sender or comment.author))
