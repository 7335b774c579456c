"""Everything a visitor meets: links, badges, launch pages, builds' pages, access and routes.

HAProxy carries the bytes (`haproxy`, `runtime`, `routes`); whatever matches no route goes to a Starlette application
(`pages`). How an image is made and how a session is started is other packages' work: they meet here in the store.
"""
